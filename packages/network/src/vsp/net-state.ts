/** Where the conversation over one channel is: the table is in net-program.ts. */
export type NetStateName = 'init' | 'setup' | 'ready' | 'sub-channel' | 'over'
