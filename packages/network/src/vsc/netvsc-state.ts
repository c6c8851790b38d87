/** What the driver waits for: the table is in netvsc.ts. */
export type NetVscState =
  | 'closed'
  | 'version'
  | 'receive-gpadl'
  | 'receive-buffer'
  | 'send-gpadl'
  | 'send-buffer'
  | 'rndis'
  | 'address'
  | 'link'
  | 'sub-channels'
  | 'opening'
  | 'spread'
  | 'filter'
  | 'ready'
  | 'failed'

/** States in which an RNDIS request is asked. */
export type RequestState = 'rndis' | 'address' | 'link' | 'spread' | 'filter'
