/* Intel's MKL, which torch multiplies with on x86, asks these two whether the processor is Intel's; if not, it takes
   kernels of 256 bits. On an AMD processor that has AVX-512 (Zen 4 and later) "yes" is the better answer.

       gcc -shared -fPIC -O2 -o mkl_full_width.so bench/mkl_full_width.c
       LD_PRELOAD=$PWD/mkl_full_width.so robustmer run nmer --profile paper --jobs 2

   Sums are then taken in another order, as on any other processor. */
int mkl_serv_intel_cpu(void) { return 1; }
int mkl_serv_intel_cpu_true(void) { return 1; }
