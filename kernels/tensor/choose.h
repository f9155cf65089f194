/* Which method suits a tensor. */
#ifndef EBB_KERNELS_TENSOR_CHOOSE_H
#define EBB_KERNELS_TENSOR_CHOOSE_H

#include "kernels/tensor/method.h"

/* From a sample of the elements. a->base becomes NULL when the method does without it. */
int ebb_tensor_choose(struct ebb_tensor_array *a, enum ebb_tensor_role role,
                      enum ebb_tensor_method *ret, double *ret_delta_bytes, struct ebb_error *err);

#endif
