/* What the readers of the kinds have in common; private to this folder. */
#ifndef EBB_FORMATS_READER_H
#define EBB_FORMATS_READER_H

#include "formats/frame.h"
#include "formats/input.h"

struct ebb_frame_reader {
    enum ebb_file_kind kind;
    struct ebb_input in;
    struct ebb_buffer header;
    double units_per_nm;
    const struct ebb_frame_format *format;
    void *state; /* of the format, freed by it */
    struct ebb_error failure;
    uint64_t frames; /* given out so far */
};

struct ebb_frame_format {
    enum ebb_file_kind kind;
    const char *name; /* in error texts: "XTC" */
    /* Takes the header from the input, if the kind has one; may be NULL. */
    int (*open)(struct ebb_frame_reader *r, struct ebb_error *err);
    void (*close)(struct ebb_frame_reader *r);
    /* The frame at the front of the input, at least one byte long: fills `f` but for `raw` and says
     * how many bytes it has, without skipping them. Returns 1, or a negative code with a text that
     * needs no place named: ebb_frame_reader_next adds it. */
    int (*next)(struct ebb_frame_reader *r, struct ebb_frame *f, uint64_t *ret_bytes,
                struct ebb_error *err);
    int (*write)(const uint8_t *rest, size_t rest_len, const struct ebb_coordinates *x,
                 struct ebb_buffer *out, struct ebb_error *err);
};

extern const struct ebb_frame_format ebb_xtc_format;
extern const struct ebb_frame_format ebb_trr_format;
extern const struct ebb_frame_format ebb_dcd_format;
extern const struct ebb_frame_format ebb_lammps_text_format;
extern const struct ebb_frame_format ebb_lammps_binary_format;

/* As ebb_input_need, but the end of the file is an error: the frame is cut short. */
int ebb_frame_need(struct ebb_frame_reader *r, uint64_t bytes, struct ebb_error *err);
/* Memory for the coordinates of `atoms` atoms of `size` bytes a number, in f->memory. */
int ebb_frame_hold(struct ebb_frame *f, size_t atoms, size_t size, struct ebb_error *err);
/* An error of ebb_frame_write: `rest` is none of this kind. */
int ebb_frame_bad_rest(const char *name, struct ebb_error *err);

#endif
