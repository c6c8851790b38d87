// What the fast paths cost on one thread: `npx node bench/paths.bench.ts`. One line a path, median of rounds.

import { HVCALL_POST_MESSAGE, PAGE_SIZE } from '@guestyard/hvdef'

import { Guest, INPUT_PAGE, SINT, Signals } from '../test/guest.ts'

const ROUNDS = 15
const CALLS = 200_000

function nanoseconds(calls: number, body: (calls: number) => void): number {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    body(calls)
    times.push(((performance.now() - start) * 1e6) / calls)
  }
  return times.toSorted((a, b) => a - b)[ROUNDS >> 1]!
}

function print(what: string, ns: number): void {
  console.log(`${what.padEnd(64)} ${ns.toFixed(1).padStart(8)} ns`)
}

const guest = new Guest().boot()
const { connection } = guest.eventPort(0x2001, 1, new Signals())
const mail = guest.messagePort(1, { canReceive: () => true, receiveMessage() {} })
const quiet = { receiveSignal() {} }
const echo = guest.eventPort(0x2002, 1, quiet)

print(
  'HvCallSignalEvent, flag set already',
  nanoseconds(CALLS, (calls) => {
    for (let i = 0; i < calls; i++) guest.signal(connection)
  }),
)
guest.hypervisor.poll(100)
print(
  'HvCallSignalEvent with root bell, and the root’s pass',
  nanoseconds(CALLS, (calls) => {
    for (let i = 0; i < calls; i++) {
      guest.signal(echo.connection)
      guest.hypervisor.poll(100)
    }
  }),
)
print(
  'root signals a VP, deliver, acknowledge, EOI, flag cleared',
  nanoseconds(CALLS, (calls) => {
    const word = (guest.siefGpa() + SINT * 256) / 4
    for (let i = 0; i < calls; i++) {
      guest.partition.signalEventToVp(0, SINT, 1)
      guest.takeInterrupt()
      Atomics.store(guest.memory.i32, word, 0)
    }
  }),
)
print(
  'deliver with nothing to do',
  nanoseconds(CALLS, (calls) => {
    for (let i = 0; i < calls; i++) guest.vp.deliver()
  }),
)
const many = new Guest({ vpCount: 16 }).boot()
print(
  'root’s pass over 16 idle VPs',
  nanoseconds(CALLS, (calls) => {
    for (let i = 0; i < calls; i++) many.hypervisor.poll(100)
  }),
)
// Composes the input block in guest RAM; the calls below post it again and again.
guest.post(mail.connection, 1, new Uint8Array(64))
print(
  'HvCallPostMessage of 64 bytes, and the root’s pass',
  nanoseconds(20_000, (calls) => {
    for (let i = 0; i < calls; i++) {
      guest.vp.hypercall(HVCALL_POST_MESSAGE, 0, INPUT_PAGE * PAGE_SIZE, 0, 0, 0)
      guest.hypervisor.poll(100)
    }
  }),
)
