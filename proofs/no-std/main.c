/* Prints the digest on a host. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t heartbeat_digest(uint32_t lives);

int main(int argc, char **argv) {
    printf("%016llx\n", (unsigned long long)heartbeat_digest(argc > 1 ? atoi(argv[1]) : 200));
}
