// Prints the Debian packages that the lab and the tests use and this machine lacks, one a line. `--all` prints them all.
import { existsSync } from "node:fs";
import { neededPackages } from "#lab/packages.ts";

/** Peers that only tests talk to. */
const testPackages = [
  { name: "ipmitool", proof: "/usr/bin/ipmitool" },
  { name: "etcd-server", proof: "/usr/bin/etcd" },
  { name: "etcd-client", proof: "/usr/bin/etcdctl" },
  { name: "isc-dhcp-client", proof: "/usr/sbin/dhclient" },
  { name: "kea-admin", proof: "/usr/sbin/perfdhcp" },
  { name: "isc-dhcp-relay", proof: "/usr/sbin/dhcrelay" },
  { name: "tcpdump", proof: "/usr/bin/tcpdump" },
  { name: "curl", proof: "/usr/bin/curl" },
  { name: "openssl", proof: "/usr/bin/openssl" },
  { name: "cpio", proof: "/usr/bin/cpio" },
  { name: "git", proof: "/usr/bin/git" },
  { name: "iputils-ping", proof: "/usr/bin/ping" },
];

const all = process.argv.includes("--all");
const wanted = [...neededPackages, ...testPackages].filter((p) => all || !existsSync(p.proof));
for (const name of new Set(wanted.map((p) => p.name))) console.log(name);
