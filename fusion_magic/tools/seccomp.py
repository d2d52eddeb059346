"""A seccomp filter for the shell's sandbox: no memory that its limits do not count, less of the kernel in reach."""

from __future__ import annotations

import errno
import platform
import struct

# Numbers of x86_64 and aarch64, from the kernel's syscall tables.
DENIED: dict[str, tuple[int, int]] = {
    # memory that neither RLIMIT_AS nor the size of the scratch folder counts
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "io_uring_setup": (425, 425),
    # what a shell command has no need of, and where the kernel has had holes
    "add_key": (248, 217),
    "bpf": (321, 280),
    "fsopen": (430, 430),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "setns": (308, 268),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH_*
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
X32 = 0x40000000  # x86_64's second table of the same calls


def program() -> bytes:
    """The filter as the BPF program that `bwrap --seccomp` reads.

    Raises:
        OSError: the processor is neither x86_64 nor aarch64.
    """
    machine = platform.machine()
    if machine not in MACHINES:
        raise OSError(f"no system call filter for {machine}")
    column, architecture = MACHINES[machine]
    numbers = [known[column] for known in DENIED.values()]
    steps = [
        (LOAD, 0, 0, 4),  # seccomp_data.arch
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),  # seccomp_data.nr
        (AT_LEAST, len(numbers) + 1, 0, X32),
        *((EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
