import { KeyFlags, MouseButton } from '@guestyard/input'
import { openDevice } from '@guestyard/input/testing'
import { KeyboardVsc, MouseVsc } from '@guestyard/input/vsc'
import { KeyboardVsp, MouseVsp, keyboardOffer, mouseOffer } from '@guestyard/input/vsp'

// A host with a keyboard, a guest with its driver, a bus between them: all in this thread.
const keyboard = new KeyboardVsp()
const keys: string[] = []
const keyboardDriver = new KeyboardVsc({
  onKey: (makeCode, flags) => keys.push(`${makeCode}${flags & KeyFlags.BREAK ? ' up' : ' down'}`),
})
const desk = openDevice(keyboardOffer, keyboard, keyboardDriver)

keyboard.pressKey(0x1e, 0)
keyboard.pressKey(0x1e, KeyFlags.BREAK)
desk.loopback.pump()

// The same with a mouse: it describes itself by a HID report descriptor, which the driver reads.
const mouse = new MouseVsp()
const moves: string[] = []
const mouseDriver = new MouseVsc({
  onMove: (x, y, buttons) => moves.push(`${x},${y}${buttons & MouseButton.LEFT ? ' left' : ''}`),
})
const pad = openDevice(mouseOffer, mouse, mouseDriver)

mouse.moveTo(16384, 100, MouseButton.LEFT, 0)
pad.loopback.pump()

console.log([...keys, ...moves].join('; '))
// prints: 30 down; 30 up; 16384,100 left
