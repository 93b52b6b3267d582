#!/bin/sh
# The hand-made way to install a server, for comparison: what one would write for one kind of machine, with everything
# that differs between machines on the kernel command line. No inventory, no wipe, no digest, no wait, no retries.
#
#   lab.script=URL of this file · lab.base=URL for reports · lab.image=URL · lab.disk=/dev/vda · lab.host=NAME
#   lab.address=10.0.2.15/24 · lab.gateway=10.0.2.2 · lab.key=SSH key with + for spaces · lab.phone-home=URL
set -e
say() {
  read -r up _ < /proc/uptime
  echo "HOLDFAST $up baseline $*"
}
arg() {
  for word in $(cat /proc/cmdline); do case $word in "$1"=*) echo "${word#*=}" ;; esac; done
}
base=$(arg lab.base)
disk=$(arg lab.disk)
case $disk in *[0-9]) part=${disk}p ;; *) part=$disk ;; esac
mac=$(arg holdfast.mac)
say started
wget -q -O /dev/null --post-data "mac=$mac" "$base?step=started"

printf 'label: gpt\nfirst-lba: 34\n128 : start=34, size=2014, type=21686148-6449-6E6F-744E-656564454649\n1 : start=2048, size=131072, type=U\n2 : start=133120, type=L\n' |
  /sbin/sfdisk -q --no-reread --no-tell-kernel "$disk"
blockdev --rereadpt "$disk"
say partition
root=$(cat /proc/sys/kernel/random/uuid)
/sbin/mkfs.vfat -n EFI "${part}1" > /dev/null
/sbin/mkfs.ext4 -q -F -U "$root" -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 "${part}2"
mount -t ext4 -o noatime "${part}2" /mnt
mkdir -p /mnt/boot/efi
mount -t vfat "${part}1" /mnt/boot/efi
say make-filesystems
wget -q -O /run/image "$(arg lab.image)"
say download
busybox tar -xpf /run/image -C /mnt
rm /run/image
say unpack

arg lab.host > /mnt/etc/hostname
printf 'UUID=%s / ext4 errors=remount-ro 0 1\n' "$root" > /mnt/etc/fstab
tr -d - < /proc/sys/kernel/random/uuid > /mnt/etc/machine-id
printf '[Match]\nMACAddress=%s\n[Network]\nAddress=%s\nGateway=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
  "$mac" "$(arg lab.address)" "$(arg lab.gateway)" > /mnt/etc/systemd/network/10-lab.network
mkdir -p -m 700 /mnt/root/.ssh /mnt/etc/holdfast
arg lab.key | tr + ' ' > /mnt/root/.ssh/authorized_keys
arg lab.phone-home > /mnt/etc/holdfast/phone-home-url
chroot /mnt ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
say os-files

append="root=UUID=$root ro console=ttyS0 quiet"
mkdir -p /mnt/boot/grub /mnt/boot/efi/EFI/BOOT
: > /mnt/boot/grub/holdfast
printf 'set timeout=0\nmenuentry lab {\n linux /vmlinuz %s\n initrd /initrd.img\n}\n' "$append" > /mnt/boot/grub/grub.cfg
cp /boot-loader/BOOTX64.EFI /mnt/boot/efi/EFI/BOOT/
# What grub-bios-setup does: code to sector 0, core.img to sector 34, and to each the place where it goes on.
dd if=/boot-loader/boot.img of="$disk" bs=440 count=1 conv=notrunc 2> /dev/null
printf '\042\0\0\0\0\0\0\0' | dd of="$disk" bs=1 seek=92 conv=notrunc 2> /dev/null
printf '\220\220' | dd of="$disk" bs=1 seek=102 conv=notrunc 2> /dev/null
size=$(stat -c %s /boot-loader/core.img)
rest=$(((size + 511) / 512 - 1))
dd if=/boot-loader/core.img of="$disk" bs=512 seek=34 conv=notrunc 2> /dev/null
printf '\043\0\0\0\0\0\0\0' | dd of="$disk" bs=1 seek=$((34 * 512 + 500)) conv=notrunc 2> /dev/null
printf "\\$(printf %o $((rest % 256)))\\$(printf %o $((rest / 256)))" | dd of="$disk" bs=1 seek=$((34 * 512 + 508)) conv=notrunc 2> /dev/null
say boot-loader

/sbin/kexec -s -l /mnt/vmlinuz --initrd=/mnt/initrd.img --command-line="$append"
say kexec-load
umount /mnt/boot/efi
umount /mnt
wget -q -O /dev/null --post-data "mac=$mac" "$base?step=installed"
say installed
[ "$(arg holdfast.boot)" = reboot ] && reboot -f
/sbin/kexec -e -x
