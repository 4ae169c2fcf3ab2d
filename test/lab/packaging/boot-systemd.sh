#!/bin/bash
# boot-systemd.sh FOLDER STEPS DEB: boots the machine's own systemd over a throw-away copy of the machine's files, in
# namespaces of its own (call it with unshare -pfmnuiC), and runs STEPS in it as a unit. What STEPS writes to /out is then in
# FOLDER/out. Nothing outside of FOLDER is written.
set -e
folder=$1 root=$1/machine
mkdir -p "$root" "$folder/layer" "$folder/out"
mount --make-rprivate /
mount -t tmpfs layer "$folder/layer"
mkdir "$folder/layer/upper" "$folder/layer/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/layer/upper,workdir=$folder/layer/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
mount -t tmpfs dev "$root/dev"
node() { mknod -m "$2" "$root/dev/$1" c "$3" "$4"; }
mkdir "$root/dev/shm" "$root/dev/pts" "$root/dev/net" "$root/dev/mqueue" "$root/dev/hugepages"
node null 666 1 3; node zero 666 1 5; node full 666 1 7; node random 666 1 8; node urandom 666 1 9; node tty 666 5 0; node net/tun 666 10 200
ln -s /proc/self/fd "$root/dev/fd"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for name in dev/shm run tmp; do mount -t tmpfs fresh "$root/$name"; done
mkdir -p "$root/out" "$root/trial"
mount --bind "$folder/out" "$root/out"
cp "$2" "$root/trial/steps.sh"
cp "$3" "$root/trial/package.deb"
# what the machine itself may start is not wanted here
rm -rf "$root/etc/systemd/system"
mkdir -p "$root/etc/systemd/system"
cat > "$root/etc/systemd/system/trial.service" <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/bash /trial/steps.sh
ExecStopPost=/bin/systemctl -ff poweroff
TimeoutStartSec=90
UNIT
cd "$root"
mkdir -p trial/outside
pivot_root . trial/outside
exec chroot . env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=trial.service --log-target=null --show-status=no
