import type { Guest } from '@guestyard/child-partition'

export async function main(guest: Guest): Promise<void> {
  guest.report({ hello: guest.args })
}
