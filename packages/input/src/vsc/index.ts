// The guest family's door.
export { KeyboardVsc } from './keyboard.ts'
export type { KeyboardListener, KeyboardVscState } from './keyboard.ts'
export { MouseVsc } from './mouse.ts'
export type { MouseListener, MouseVscState } from './mouse.ts'
