"""How the C library keeps memory that the registry no longer uses. Only glibc has these settings; elsewhere nothing happens.

https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGE = 1024**2  # bytes from which a block is given back as soon as it is free; those of a body are smaller, and are used again
KEPT = 32 * 1024**2  # free bytes at the end of the heap that are kept until the next `trim`: the next segments of an upload take them again


def give_back() -> None:
    """Let this process, and those that it forks, give free memory back to the system.

    By default, glibc keeps blocks of the size of the largest one that it has seen, up to 32 MiB. It then holds the memory of a peak for
    ever. Before it has seen one, it gives each block of a body back and fetches it again, and a transfer costs twice as much.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def trim() -> None:
    """Give back free memory that has something in use behind it, as many small blocks leave. glibc never does that by itself.

    https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    malloc_trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if malloc_trim:
        malloc_trim(0)
