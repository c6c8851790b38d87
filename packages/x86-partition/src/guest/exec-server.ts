// The guest's end of COM2: a shell script that takes scripts in pieces, runs them, and says how they ended. The host's end is
// exec-channel.ts.
//
//   host  ─▶ "put BASE64\n"   a piece of the script          ◀─ "\0MARK ok\n"
//         ─▶ "run\n"          what it prints, as it prints   ◀─ … "\0MARK exit N\n"
//         ─▶ "off\n"          the machine turns itself off
//
// Each answer is waited for, so that a line never meets a full terminal buffer.

/** Characters of base64 in one piece: with its verb well below the 4096 that a terminal holds. */
export const PIECE_CHARACTERS_MAX = 2048

/** The mark may begin with a digit, which `\\0` would take for more of its octal number: hence all three. */
export function execServer(mark: string): string {
  return [
    '#!/bin/sh',
    `printf '\\000${mark} ready\\n'`,
    'while read -r verb data; do',
    '  case "$verb" in',
    '  put)',
    '    printf %s "$data" | base64 -d >>/run/script',
    `    printf '\\000${mark} ok\\n'`,
    '    ;;',
    '  run)',
    '    touch /run/script',
    '    mv /run/script /run/running',
    '    sh /run/running </dev/null 2>&1',
    `    printf '\\000${mark} exit %d\\n' $?`,
    '    ;;',
    '  off)',
    '    poweroff -f',
    '    ;;',
    '  esac',
    'done',
    '',
  ].join('\n')
}
