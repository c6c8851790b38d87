export { FRAME_HEADER_BYTES, FRAME_MAX_BYTES, Frame, GuestCopies, NO_TAG } from './frame.ts'
export { parseMacAddress, type MacAddress } from './mac-address.ts'
export {
  DROP_REASONS,
  DropReason,
  SWITCH_PORTS_MAX,
  VirtualSwitch,
  type FrameTap,
  type PortEnd,
  type PortInspection,
  type PortSettings,
  type PortVlan,
  type SwitchClock,
  type SwitchInspection,
  type SwitchOptions,
  type SwitchPort,
} from './switch/index.ts'
