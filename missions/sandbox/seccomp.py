"""The filter of system calls: what no job needs, answered with EPERM. Built once; imports nothing of the project.

A list of what is refused, since what programs need differs by language and version. libseccomp adds the check of the
architecture: calls by another one's numbers (i386, x32) end the process.
"""

from __future__ import annotations

import errno
import functools
import os

import pyseccomp

# Looking into others, key rings that outlive a job, interfaces with a history of holes, and what changes the system.
NAMES = """
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
keyctl add_key request_key
bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
mount umount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr
unshare setns name_to_handle_at open_by_handle_at fanotify_init lookup_dcookie quotactl quotactl_fd
kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct syslog vhangup
settimeofday clock_settime clock_adjtime adjtimex stime sethostname setdomainname
personality modify_ldt iopl ioperm vmsplice memfd_secret
mbind set_mempolicy set_mempolicy_home_node migrate_pages move_pages nfsservctl uselib ustat sysfs
"""
REFUSED = tuple(NAMES.split())
YOUNG = {"open_tree_attr": 467}  # the same number everywhere; an older libseccomp has no name for it
NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # CLONE_NEW…
TERMINAL = (0x5412, 0x541C, 0x541D)  # TIOCSTI, TIOCLINUX, TIOCCONS: typing into somebody else's terminal
LOW = 0xFFFFFFFF  # the kernel reads an int: a rule that looked at all 64 bits would be passed by setting high ones
FAMILIES, SPEAKS = 64, (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6


@functools.cache
def program() -> bytes:
    """The filter as BPF. Raises OSError where libseccomp is missing or fails."""
    found = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refused = pyseccomp.ERRNO(errno.EPERM)
    for name in REFUSED:
        if (number := YOUNG.get(name, pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))) >= 0:  # it exists here
            found.add_rule(refused, number)
    found.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags lie in memory, unseen; libc falls back to clone
    for flag in NAMESPACES:
        found.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    for request in TERMINAL:
        found.add_rule(refused, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, LOW, request))
    for family in range(FAMILIES):
        if family not in SPEAKS:
            found.add_rule(refused, "socket", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, LOW, family))
    return _exported(found)


def _exported(found: pyseccomp.SyscallFilter) -> bytes:
    number = os.memfd_create("seccomp")
    with os.fdopen(number, "r+b") as file:
        found.export_bpf(file)
        file.seek(0)
        return file.read()
