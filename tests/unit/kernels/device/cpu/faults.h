/* Kernels with one fault each, which the runner has to find. */
#ifndef EBB_TESTS_DEVICE_FAULTS_H
#define EBB_TESTS_DEVICE_FAULTS_H

#ifdef __cplusplus
extern "C" {
#endif

enum fault {
    FAULT_NONE,
    FAULT_NO_BLOCK_BARRIER,
    FAULT_NO_WARP_BARRIER, /* a shuffle is none */
    FAULT_READ_THEN_WRITTEN,
    FAULT_TWO_BLOCKS,
    FAULT_ATOMIC_AND_PLAIN,
    FAULT_UNWRITTEN_SHARED, /* what another block left there does not count */
    FAULT_BEYOND_THE_END,
    FAULT_NO_ARRAY,
    FAULT_HALF_A_BARRIER,
    FAULT_HALF_A_WARP,
    FAULT_DIFFERENT_MEETINGS,
    FAULT_UNALIGNED_VECTOR,
    FAULTS
};
/* out: an array of the device of 4,096 bytes. */
void run_fault(enum fault fault, unsigned *out);

#ifdef __cplusplus
}
#endif

#endif
