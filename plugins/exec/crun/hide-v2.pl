# usage: perl hide-v2.pl ARCH MOUNTPOINT GROUP PROGRAM [ARGUMENT...]
# Runs PROGRAM, in place of this process, in a mount namespace where the cgroup v2 hierarchy at MOUNTPOINT is not mounted, as a member
# of GROUP in that hierarchy (where there is such a group; '' for none). Every other mount is a peer of the caller's, so that
# propagation into and out of a container is as without this. A shell with unshare(1), mount(8) and umount(8) does the same in three
# times the time.
use strict;

use constant { CLONE_NEWNS => 0x00020000, MS_PRIVATE => 1 << 18, MNT_DETACH => 2 };
my %calls = (x64 => [272, 165, 166], arm64 => [97, 40, 39]);    # unshare, mount, umount2

my ($arch, $mountpoint, $group, $program, @arguments) = @ARGV;
my ($unshare, $mount, $umount2) = @{ $calls{$arch} // die "hide-v2: no system call numbers for $arch\n" };
my $parent = $mountpoint =~ s{/[^/]*$}{}r;
my $none = '';

# What PROGRAM starts is then a member, too: the hierarchy has controllers whose limits would otherwise not hold.
if ($group ne '' && -d "$mountpoint/$group") {
    open(my $members, '>', "$mountpoint/$group/cgroup.procs") or die "hide-v2: $group: $!\n";
    print $members $$;
    close($members) or die "hide-v2: cannot join $group: $!\n";
}

# Unmounting propagates to the peers of the mount around it, unless that is private.
syscall($unshare, CLONE_NEWNS) == 0 or die "hide-v2: unshare: $!\n";
syscall($mount, $none, $parent, $none, MS_PRIVATE, 0) == 0 or die "hide-v2: $parent is no mount point: $!\n";
syscall($umount2, $mountpoint, MNT_DETACH) == 0 or die "hide-v2: umount $mountpoint: $!\n";
exec { $program } $program, @arguments or die "hide-v2: $program: $!\n";
