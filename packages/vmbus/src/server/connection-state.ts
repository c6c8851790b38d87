// The connection of one guest.
//
//                   contact, version spoken             response delivered          REQUESTOFFERS
//   disconnected ──────────────────────▶ connecting ──────────────────▶ connected ───────────▶ connected
//        ▲                                                             no offers              offers sent
//        └──────────────── disconnecting ◀──── unload, another contact, reset: from anywhere
//           devices stopped
//
// | message                | disconnected | connecting | connected | disconnecting            |
// |------------------------|--------------|------------|-----------|--------------------------|
// | INITIATE_CONTACT       | negotiate    | disconnect, then negotiate | negotiate when done   |
// | UNLOAD                 | ignored      | disconnect, then respond | ignored                 |
// | anything else          | ignored      | ignored    | served    | ignored                  |

/** What a guest asks for in INITIATE_CONTACT. */
export interface Contact {
  readonly version: number
  /** VP for control messages, as the guest wrote it. */
  readonly targetVp: number
  readonly targetSint: number
  readonly targetVtl: number
  /** Exactly one monitor page was given, which no host can use. */
  readonly halfMonitored: boolean
}

/** What follows once every device has stopped. */
export type AfterDisconnect =
  | { readonly does: 'rest' }
  | { readonly does: 'unload-response'; readonly targetVp: number }
  | { readonly does: 'negotiate'; readonly contact: Contact }

export type ConnectionState =
  | { readonly is: 'disconnected' }
  | {
      readonly is: 'connecting'
      readonly version: number
      readonly targetVp: number
    }
  | {
      readonly is: 'connected'
      readonly version: number
      readonly targetVp: number
      readonly offersSent: boolean
    }
  | { readonly is: 'disconnecting'; readonly next: AfterDisconnect }
