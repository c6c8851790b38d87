// Reads a capture: hypercalls that a guest made while it connected to VMBus, and one answer.
import { decodeHypercallInput, decodeVmbusMessage, vmbusVersionName } from '@guestyard/hvdef'
import type { Malformed, VmbusMessage } from '@guestyard/hvdef'

// HvCallPostMessage: input value 0x5c, and the 256 bytes at the input GPA. Connection 4 carries message
// type 1 with 40 bytes of payload: INITIATE_CONTACT for version 5.3, on SINT 2.
const contact = bytes(
  '04000000 00000000 01000000 28000000  0e000000 00000000 03000500 00000000 02',
  256,
)
// HvCallSignalEvent, fast: one register holds connection 0x2001 and flag 0.
const signal = bytes('01200000 00000000', 8)
// The host's answer as the guest finds it in its message slot: version spoken, message connection 4.
const answer = bytes('0f000000 00000000 01000000 04000000', 16)

show(decodeHypercallInput(0x0000_005c, 0, contact))
show(decodeVmbusMessage(answer))
show(decodeHypercallInput(0x0001_005d, 0, signal))
show(decodeVmbusMessage(answer.subarray(0, 15)))

function show(decoded: ReturnType<typeof decodeHypercallInput> | VmbusMessage): void {
  if (decoded.kind !== 'hypercall') {
    console.log(describe(decoded))
  } else if (decoded.name === 'HvCallSignalEvent') {
    const { connectionId, flagNumber } = decoded.fields
    console.log(`${decoded.name} connection=0x${connectionId.toString(16)} flag=${flagNumber}`)
  } else if (decoded.name === 'HvCallPostMessage' && decoded.message !== null) {
    console.log(
      `${decoded.name} connection=${decoded.fields.connectionId} ${describe(decoded.message)}`,
    )
  }
}

function describe(message: VmbusMessage | Malformed): string {
  if (message.kind === 'malformed') return `malformed: ${message.reason}`
  if (message.name === 'INITIATE_CONTACT') {
    return `${message.name} version=${vmbusVersionName(message.fields.version)}`
  }
  if (message.name === 'VERSION_RESPONSE') {
    return `${message.name} supported=${message.fields.versionSupported}`
  }
  return message.name
}

function bytes(hexadecimal: string, size: number): Uint8Array {
  const digits = hexadecimal.replaceAll(' ', '')
  const whole = new Uint8Array(size)
  for (let at = 0; at < digits.length / 2; at++) {
    whole[at] = Number.parseInt(digits.slice(at * 2, at * 2 + 2), 16)
  }
  return whole
}
