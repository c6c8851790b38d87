// What we use of the package `gpt`, which has no types of its own.

declare module 'gpt' {
  class PartitionEntry {
    constructor(options?: {
      readonly type: string
      readonly guid: string
      readonly name: string
      readonly firstLBA: bigint
      readonly lastLBA: bigint
    })
    readonly type: string
    readonly guid: string
    readonly name: string
    readonly firstLBA: bigint
    readonly lastLBA: bigint
  }

  export default class GPT {
    static readonly PartitionEntry: typeof PartitionEntry
    constructor(options?: {
      readonly blockSize?: number
      readonly guid?: string
      readonly currentLBA?: bigint
      readonly backupLBA?: bigint
      readonly firstLBA?: bigint
      readonly lastLBA?: bigint
    })
    readonly guid: string
    readonly headerChecksum: number
    readonly tableChecksum: number
    readonly headerSize: number
    readonly currentLBA: bigint
    readonly firstLBA: bigint
    readonly lastLBA: bigint
    readonly tableOffset: bigint
    readonly entries: number
    readonly entrySize: number
    readonly partitions: PartitionEntry[]
    parseHeader(buffer: Buffer, offset?: number): this
    parseTable(buffer: Buffer, offset?: number): this
    checksumHeader(buffer: Buffer): number
    write(): Buffer
    writeBackupFromPrimary(): Buffer
  }
}
