/* Functions that the C references and the CUDA kernels share, compiled by either compiler. */
#ifndef EBB_KERNELS_DEVICE_H
#define EBB_KERNELS_DEVICE_H

#ifdef __CUDACC__
#define EBB_DEVICE __host__ __device__
#else
#define EBB_DEVICE
#endif
#define EBB_HD EBB_DEVICE static inline

#endif
