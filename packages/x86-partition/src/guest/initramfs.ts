// The first file system of a Linux guest: busybox, the modules that its drivers need, and an init that loads them and serves whoever
// started the guest.
//
//   init ─▶ mounts ─▶ modules in order ─▶ ready ─▶ serves commands on COM2 ─▶ power off
//                                │           └─▶ a shell on COM1, where one is asked for
//                                └─▶ the root that the command line names ─▶ its own init; commands are served in there
//
// COM1 is the console: kernel messages, and the shell. COM2 carries commands and what they print, byte for byte (exec-channel.ts).

import { cpioArchive } from './cpio.ts'
import type { CpioEntry } from './cpio.ts'
import { execServer } from './exec-server.ts'

export interface KernelModule {
  /** File name without its folder: `hv_vmbus.ko`. */
  readonly file: string
  readonly bytes: Uint8Array
}

export interface InitramfsOptions {
  readonly busybox: Uint8Array
  /** In the order in which they can be loaded. */
  readonly modules: readonly KernelModule[]
  /** A shell on the console, whose end turns the machine off. */
  readonly shell: boolean
  /** Letters and digits that nobody in the guest says by chance: they mark ends on COM2. */
  readonly mark: string
}

const DIRECTORIES = [
  ...['bin', 'dev', 'etc', 'lib', 'home', 'lib/modules', 'mnt', 'proc', 'run', 'sys', 'tmp'],
]

/** A cpio archive. Throws a RangeError for a mark that is none. */
export function initramfs(options: InitramfsOptions): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9]{1,64}$/.test(options.mark)) {
    throw new RangeError(`mark: ${JSON.stringify(options.mark)} is not letters and digits`)
  }
  const entries: CpioEntry[] = [
    ...DIRECTORIES.map((path): CpioEntry => ({ is: 'directory', path })),
    { is: 'character-device', path: 'dev/console', major: 5, minor: 1 },
    { is: 'character-device', path: 'dev/null', major: 1, minor: 3 },
    { is: 'file', path: 'bin/busybox', bytes: options.busybox, isExecutable: true },
    { is: 'link', path: 'bin/sh', to: 'busybox' },
    ...options.modules.map((module): CpioEntry => ({
      is: 'file',
      path: `lib/modules/${module.file}`,
      bytes: module.bytes,
      isExecutable: false,
    })),
    script('init', initScript(options)),
    script('bin/guestyard-serve', execServer(options.mark)),
    script('bin/dhcp', DHCP),
    script('bin/dhcp-lease', DHCP_LEASE),
  ]
  return cpioArchive(entries)
}

function script(path: string, text: string): CpioEntry {
  return { is: 'file', path, bytes: new TextEncoder().encode(text), isExecutable: true }
}

/** Word of the kernel's command line that has the guest ask for an address while it boots. */
const DHCP_WORD = 'guestyard.dhcp'

/**
 * Word of the kernel's command line whose value is the disk that holds the guest's root: an ext4 with an init of its own, which becomes process 1. It has to
 * have `sh`, `base64` and what else the guest's end of COM2 calls. The machine is its to turn off.
 */
const ROOT_WORD = 'guestyard.root'
/** Tenths of a second that its disk may take to appear. */
const ROOT_TRIES = 100

/** The server is there before the root becomes `/`, and stays in it: its own root moves along. */
const SWITCH_ROOT = [
  `root=$(sed -n 's/.*\\b${ROOT_WORD}=\\([^ ]*\\).*/\\1/p' /proc/cmdline)`,
  'if [ -n "$root" ]; then',
  `  for i in $(seq ${ROOT_TRIES}); do [ ! -e "$root" ] || break; sleep 0.1; done`,
  '  if mount -t ext4 "$root" /mnt; then',
  '    cp /bin/guestyard-serve /run/guestyard-serve',
  '    umount /tmp',
  '    for each in dev proc sys run; do mount --move /$each /mnt/$each; done',
  '    chroot /mnt /bin/sh /run/guestyard-serve </mnt/dev/ttyS1 >/mnt/dev/ttyS1 2>&1 &',
  '    exec switch_root /mnt /sbin/init',
  '  fi',
  '  echo "init: no root on $root" >/dev/kmsg',
  'fi',
]

/** `dhcp [interface]`: asks for an address, and takes it. */
const DHCP = `#!/bin/sh
eth=\${1:-eth0}
ip link set "$eth" up && exec udhcpc -q -n -t 5 -T 1 -i "$eth" -s /bin/dhcp-lease >/dev/null
`

/** What udhcpc calls with what it was given. */
const DHCP_LEASE = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/\${mask:-24}" dev "$interface"
[ -z "$router" ] || ip route replace default via "\${router%% *}"
[ -z "$dns" ] || { for server in $dns; do echo "nameserver $server"; done; echo "search $domain"; } >/etc/resolv.conf
`

function initScript(options: InitramfsOptions): string {
  const loads = options.modules.map(
    ({ file }) => `insmod /lib/modules/${file} || echo "init: ${file} does not load" >/dev/kmsg`,
  )
  return [
    '#!/bin/sh',
    'export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/home TERM=vt100',
    '/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin',
    '/bin/busybox --install -s',
    // Busybox's own asks init, which this is, and which has nobody else to stop: the kernel runs it when the host wants it off.
    ...['poweroff', 'reboot'].flatMap((name) => [
      `rm -f /sbin/${name}`,
      `printf '#!/bin/sh\\nexec /bin/busybox ${name} -f\\n' >/sbin/${name}`,
      `chmod +x /sbin/${name}`,
    ]),
    'mount -t proc proc /proc',
    'mount -t sysfs sys /sys',
    'mount -t devtmpfs dev /dev',
    'mount -t tmpfs tmp /tmp',
    'mount -t tmpfs run /run',
    ...loads,
    `! grep -qw ${DHCP_WORD} /proc/cmdline || dhcp || echo "init: nobody gives eth0 an address" >/dev/kmsg`,
    'cd /home',
    // Raw: what a command prints comes out as it is.
    'stty -F /dev/ttyS1 raw -echo',
    ...SWITCH_ROOT,
    ...(options.shell
      ? ['guestyard-serve </dev/ttyS1 >/dev/ttyS1 2>&1 &', 'setsid cttyhack sh -l']
      : ['guestyard-serve </dev/ttyS1 >/dev/ttyS1 2>&1']),
    'poweroff -f',
    '',
  ].join('\n')
}
