use strict;
use warnings;
use IPC::SysV qw(IPC_PRIVATE IPC_RMID IPC_CREAT S_IRUSR S_IWUSR);

my $id = shmget(IPC_PRIVATE, 4096, S_IRUSR | S_IWUSR) // die "shmget: $!";
shmwrite($id, "hello", 0, 5) or die "shmwrite: $!";
my $text;
shmread($id, $text, 0, 5) or die "shmread: $!";
$text eq "hello" or die "shared memory holds '$text'";
shmctl($id, IPC_RMID, 0) or die "shmctl: $!";

my $sem = semget(IPC_PRIVATE, 1, S_IRUSR | S_IWUSR | IPC_CREAT) // die "semget: $!";
semop($sem, pack("s!3", 0, 1, 0)) or die "semop: $!";
semctl($sem, 0, IPC_RMID, 0) or die "semctl: $!";

my $queue = msgget(IPC_PRIVATE, S_IRUSR | S_IWUSR | IPC_CREAT) // die "msgget: $!";
msgsnd($queue, pack("l! a*", 1, "message"), 0) or die "msgsnd: $!";
my $message;
msgrcv($queue, $message, 100, 1, 0) or die "msgrcv: $!";
(unpack("l! a*", $message))[1] eq "message" or die "queue";
msgctl($queue, IPC_RMID, 0) or die "msgctl: $!";

open(my $list, "<", "/proc/sysvipc/shm") or die "/proc/sysvipc/shm: $!";
my @others = <$list>;
@others == 1 or die "shared memory of others is visible: @others";
print "ok System V\n";
