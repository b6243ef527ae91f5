/* The process that every supervisor under test runs: it notes when it came to
 * life, tells it, and waits to be killed. The clock is read before anything
 * else, so what the telling costs is in no figure.
 *
 * The record is 16 bytes, {int64 os_pid; int64 CLOCK_MONOTONIC ns}, appended to
 * the file named by the first argument or, where a supervisor passes none, by
 * $GAFFER_BENCH_STAMPS. An append that small is atomic.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);

    const char *path = argc > 1 ? argv[1] : getenv("GAFFER_BENCH_STAMPS");
    if (path == NULL)
        return 2;
    int64_t record[2] = {getpid(), now.tv_sec * INT64_C(1000000000) + now.tv_nsec};
    int fd = open(path, O_WRONLY | O_APPEND);
    if (fd < 0 || write(fd, record, sizeof record) != sizeof record)
        return 3;
    close(fd);
    for (;;)
        pause();
}
