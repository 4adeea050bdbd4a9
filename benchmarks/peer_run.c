/* Times llama2.c's run.c, which is included as it is: MODEL PROMPT_TOKENS STEPS.
 *
 *   cc -O3 -march=native -ffast-math -DTESTING -DRUN_C='"…/run.c"' peer_run.c -lm
 *
 * Its own figure has whole milliseconds, and the printing of words, in it. This prints the median
 * microseconds of a greedy step after a prompt, as a board measures it. */
#include RUN_C

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    int n_prompt = atoi(argv[2]);
    int n_steps = atoi(argv[3]);
    Transformer model;
    build_transformer(&model, argv[1]);
    double *us = malloc((size_t)n_steps * sizeof *us);
    int token = 0;
    /* twice: the first time fills its caches and maps the file's pages */
    for (int i = 0; i < 2 * (n_prompt + n_steps); i++) {
        int pos = i % (n_prompt + n_steps);
        double from = now_us();
        float *logits = forward(&model, pos < n_prompt ? pos : token, pos);
        token = sample_argmax(logits, model.config.vocab_size);
        if (pos >= n_prompt) {
            us[pos - n_prompt] = now_us() - from;
        }
    }
    qsort(us, (size_t)n_steps, sizeof *us, by_size);
    printf("%.3f\n", us[n_steps / 2]);
    return 0;
}
