/*
 * LZ4 frames (see lz4_frames.h), over liblz4. Called by format/byte_source.c in workers.
 */
#include "format/lz4_frames.h"

#include <lz4frame.h>
#include <string.h>

#include "base/alloc.h"

struct tide_lz4_frames {
    LZ4F_dctx *context;
    bool within, any;
};

struct tide_lz4_frames *tide_lz4_frames_new(void) {
    struct tide_lz4_frames *frames = tide_xcalloc(1, sizeof *frames);

    if (!LZ4F_isError(LZ4F_createDecompressionContext(&frames->context, LZ4F_VERSION))) return frames;
    tide_free(frames);
    return NULL;
}

void tide_lz4_frames_delete(struct tide_lz4_frames *frames) {
    if (!frames) return;
    LZ4F_freeDecompressionContext(frames->context);
    tide_free(frames);
}

static int refuse(const struct tide_lz4_frames *frames, size_t code, struct tide_error *err) {
    const char *name = LZ4F_getErrorName(code);

    if (strcmp(name, "ERROR_allocation_failed") == 0) return tide_error_set(err, TIDE_ENOMEM, "out of memory");
    if (strcmp(name, "ERROR_frameType_unknown") == 0 && !frames->any)
        return tide_error_set(err, TIDE_ECORRUPT,
                              "it is no LZ4 frame, as its name says; rename it, or pack it with the lz4 program");
    return tide_error_set(err, TIDE_ECORRUPT, "compressed data can't be unpacked: %s; the file is damaged", name);
}

int tide_lz4_frames_unpack(struct tide_lz4_frames *frames, const uint8_t *in, size_t *in_size, uint8_t *out,
                           size_t *out_size, struct tide_error *err) {
    size_t wanted = LZ4F_decompress(frames->context, out, out_size, in, in_size, NULL);

    if (LZ4F_isError(wanted)) return refuse(frames, wanted, err);
    if (*in_size > 0 || *out_size > 0) frames->within = wanted != 0;
    if (wanted == 0) frames->any = true;
    return TIDE_OK;
}

bool tide_lz4_frames_within(const struct tide_lz4_frames *frames) { return frames->within; }

bool tide_lz4_frames_any(const struct tide_lz4_frames *frames) { return frames->any; }
