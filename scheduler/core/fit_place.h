/* What names of places tell: the region of a zone, the number of CPUs of a VM type. */
#ifndef EBB_SCHEDULER_CORE_FIT_PLACE_H
#define EBB_SCHEDULER_CORE_FIT_PLACE_H

/* "us-east-1a" -> "us-east-1", "us-central1-c" -> "us-central1"; another name stays whole.
 * malloc'ed. */
char *ebb_region_of_zone(const char *zone);
/* As the built-in catalogue has it, else as the name tells: "n1-highcpu-16" -> 16, "c5.2xlarge" ->
 * 8; 0 when neither does. */
unsigned ebb_cpus_of_type(const char *type);

#endif
