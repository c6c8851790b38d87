// The door of the package itself: what both families share. The families have doors of their own, ./vsp and
// ./vsc.
export {
  KEYBOARD_CLASS_ID,
  KEYBOARD_INSTANCE_ID,
  KeyFlags,
  KeyboardLed,
  MOUSE_CLASS_ID,
  MOUSE_INSTANCE_ID,
  MOUSE_POSITION_MAX,
  MouseButton,
} from './protocol.ts'
