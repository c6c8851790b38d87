// The host family's door.
export { KeyboardVsp, keyboardOffer } from './keyboard.ts'
export type { KeyboardInspection } from './keyboard.ts'
export { MouseVsp, mouseOffer } from './mouse.ts'
export type { MouseInspection } from './mouse.ts'
