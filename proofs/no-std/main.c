/* Prints the digests on a host. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t heartbeat_digest(uint32_t lives);
#ifdef SIM
uint64_t heartbeat_simulate(uint32_t worlds);
#endif

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    printf("%016llx\n", (unsigned long long)heartbeat_digest(atoi(argv[1])));
#ifdef SIM
    printf("%016llx\n", (unsigned long long)heartbeat_simulate(atoi(argv[2])));
#endif
}
