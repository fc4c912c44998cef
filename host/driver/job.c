/*
 * Jobs as values (see job.h): options, reference counts, results. The scheduler computes them. Driver thread.
 */
#include "driver/job.h"

#include <assert.h>

#include "base/alloc.h"
#include "driver/job_body.h"

struct tide_job *tide_job_new(struct tide_scheduler *scheduler, const struct tide_job_options *options) {
    struct tide_job *job = tide_xcalloc(1, sizeof *job);

    job->refs = 2;
    job->scheduler = scheduler;
    job->partitions = options->partitions ? options->npartitions : tide_rdd_partitions(options->rdd);
    job->results = tide_xcalloc(job->partitions > 0 ? job->partitions : 1, sizeof *job->results);
    for (uint32_t i = 0; i < job->partitions; i++) tide_blocks_create(&job->results[i]);
    job->done = options->done;
    job->arg = options->arg;
    tide_list_create(&job->link);
    return job;
}

struct tide_job *tide_job_retain(struct tide_job *job) {
    job->refs++;
    return job;
}

void tide_job_release(struct tide_job *job) {
    if (!job || --job->refs > 0) return;
    assert(job->ended);
    for (uint32_t i = 0; i < job->partitions; i++) tide_blocks_destroy(&job->results[i]);
    tide_free(job->results);
    tide_error_clear(&job->error);
    tide_free(job);
}

bool tide_job_ended(const struct tide_job *job) { return job->ended; }

const struct tide_error *tide_job_error(const struct tide_job *job) { return &job->error; }

uint32_t tide_job_partitions(const struct tide_job *job) { return job->partitions; }

const struct tide_blocks *tide_job_result(const struct tide_job *job, uint32_t index) {
    assert(index < job->partitions);
    return &job->results[index];
}
