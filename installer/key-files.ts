// Keys that are changed later reach the system that runs: a timer fetches what the allocation has by then.
import type { OsFile } from "./os-files.ts";

const program = "/usr/local/lib/holdfast/authorized-keys";
const unit = "holdfast-authorized-keys";

/** The image has users by these names, each with its home. */
export interface KeyUser {
  readonly name: string;
  readonly home: string;
}

/** A mark before and after what is ours in a file of keys; its other lines are whoever's who wrote them. */
const begin = "# holdfast begin: replaced by the keys of the allocation";
const end = "# holdfast end";

/** Empty without keys: an image may bring a file of its own. */
export function authorizedKeys(keys: readonly string[], users: readonly KeyUser[]): OsFile[] {
  if (keys.length === 0) return [];
  const lines = keys.map((k) => k.replace(/[\r\n]/g, " ").trim());
  const content = [begin, ...lines, end, ""].join("\n");
  return users.map(({ name, home }) => ({ path: `${home}/.ssh/authorized_keys`, content, mode: 0o600, owner: name }));
}

/** @param url of the agent, empty when it has none to give @returns the files, and the link that switches the timer on */
export function keyUpdate(
  url: string,
  users: readonly KeyUser[],
): {
  readonly files: readonly OsFile[];
  readonly link: { readonly path: string; readonly target: string } | undefined;
} {
  if (url === "") return { files: [], link: undefined };
  const folder = "/etc/systemd/system";
  return {
    files: [
      // Carries a credential.
      { path: "/etc/holdfast/authorized-keys-url", content: `${url}\n`, mode: 0o600 },
      { path: program, content: keyScript(users), mode: 0o755 },
      { path: `${folder}/${unit}.service`, content: service, mode: 0o644 },
      { path: `${folder}/${unit}.timer`, content: timer, mode: 0o644 },
    ],
    link: { path: `${folder}/timers.target.wants/${unit}.timer`, target: `../${unit}.timer` },
  };
}

const service = `[Unit]
Description=Bring the ssh keys to those of the allocation
ConditionPathExists=/etc/holdfast/authorized-keys-url

[Service]
Type=oneshot
ExecStart=${program}
`;

const timer = `[Unit]
Description=Bring the ssh keys to those of the allocation, each minute

[Timer]
OnBootSec=20
OnUnitActiveSec=60
AccuracySec=5
`;

/**
 * Bash and coreutils alone, so that an image needs no HTTP client. What is not fetched whole changes nothing. A file is written as
 * its user: in a home of somebody else's, links may lead anywhere.
 */
const keyScript = (users: readonly KeyUser[]): string => `#!/bin/bash
begin='${begin}'
end='${end}'

# Prints the keys at a URL; fails for any answer but a whole one.
fetch() {
  local LC_ALL=C rest=\${1#http://} authority host port=80 line status length='' body
  authority=\${rest%%/*}
  host=\${authority%%:*}
  [[ $authority == *:* ]] && port=\${authority##*:}
  exec 3<> "/dev/tcp/$host/$port" || return 1
  printf 'GET /%s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' "\${rest#*/}" "$authority" >&3
  read -r _ status _ <&3 || return 1
  while read -r line <&3 && line=\${line%$'\\r'} && [[ -n $line ]]; do
    [[ \${line,,} == content-length:* ]] && length=\${line#*:} && length=\${length// /}
  done
  [[ $status == 200 && $length =~ ^[0-9]+$ ]] || return 1
  body=$(head -c "$length" <&3; echo x)
  body=\${body%x}
  [[ \${#body} == "$length" ]] && printf %s "$body"
}

# Replaces what is ours in a user's file by what comes in; a file that has nothing of ours is left alone.
write() {
  local folder=$1/.ssh file=$1/.ssh/authorized_keys keys before after
  keys=$(cat)
  if [[ ! -e $file ]]; then
    [[ -n $keys ]] || return 0
    mkdir -p -m 700 "$folder"
    before=$begin$'\\n'$end
  else
    before=$(< "$file") || return 1
  fi
  [[ $'\\n'$before$'\\n' == *$'\\n'"$begin"$'\\n'*"$end"$'\\n'* ]] || return 0
  after=\${before%%"$begin"*}$begin$'\\n'\${keys:+$keys$'\\n'}$end\${before#*"$end"}
  [[ -e $file && $after == "$before" ]] && return 0
  (umask 077 && printf '%s\\n' "$after" > "$file.holdfast") && mv -f "$file.holdfast" "$file"
}

case $1 in
  fetch) fetch "$2" ;;
  write) write "$2" ;;
  *)
    keys=$(timeout 10 "$0" fetch "$(< /etc/holdfast/authorized-keys-url)"; r=$?; echo x; exit $r) || exit 0
${users.map(({ name, home }) => `    printf %s "\${keys%x}" | runuser -u ${name} -- "$0" write ${home}`).join("\n")}
    ;;
esac
`;
