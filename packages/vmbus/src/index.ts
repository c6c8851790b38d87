// What both ends of the bus share. The ends themselves: `./server`, `./client`; framing: `./pipe`.

export { POLL_SLICE } from './active-list.ts'
export type { Channel, ChannelProgram, CloseResult, SavedProgram, Machine } from './channel.ts'
export { DEFAULT_VERSIONS } from './versions.ts'
