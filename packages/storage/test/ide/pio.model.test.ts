// PIO as a model has it, in a few lines and apart from the drive: what Status shows, when the line rises and falls, and which bytes
// travel, for any order of commands, accesses, masks, resets and disks that answer late.

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { HeldDisk } from './held-disk.ts'
import { IdeHost, patternDisk } from './ide-host.ts'

const [SECTOR_WORDS, BLOCKS] = [256, 32]
const [READY, BUSY, DRQ] = [0x50, 0xd0, 0x58]

type Action =
  | { readonly is: 'read' | 'write'; readonly block: number; readonly count: number }
  | { readonly is: 'words'; readonly count: number }
  | { readonly is: 'status' | 'alternate' | 'disk' | 'reset' }
  | { readonly is: 'mask'; readonly masked: boolean }

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    is: fc.constantFrom('read' as const, 'write' as const),
    block: fc.nat(BLOCKS - 4),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  { weight: 4, arbitrary: fc.record({ is: fc.constant('words' as const), count: fc.nat(300) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      is: fc.constantFrom('status' as const, 'alternate' as const, 'disk' as const),
    }),
  },
  fc.record({ is: fc.constant('reset' as const) }),
  fc.record({ is: fc.constant('mask' as const), masked: fc.boolean() }),
)

class PioModel {
  mode: 'idle' | 'in' | 'out' = 'idle'
  isBusy = false
  block = 0
  sectors = 0
  words = 0
  interrupt = false
  masked = false
  written = 0
  /** What the disk has. */
  readonly content: Uint16Array
  /** A sector on its way to it. */
  readonly sector: Uint16Array = new Uint16Array(SECTOR_WORDS)

  constructor(bytes: Uint8Array) {
    this.content = new Uint16Array(bytes.slice().buffer)
  }

  get status(): number {
    if (this.isBusy) return BUSY
    return this.mode === 'idle' ? READY : DRQ
  }

  begin(is: 'read' | 'write', block: number, count: number): void {
    if (this.status !== READY) return
    this.mode = is === 'read' ? 'in' : 'out'
    this.block = block
    this.sectors = count
    this.words = SECTOR_WORDS
    this.isBusy = is === 'read'
    this.interrupt = false
  }

  /** The disk has done what it was asked. */
  release(): void {
    if (!this.isBusy) return
    this.isBusy = false
    this.interrupt = true
    if (this.mode !== 'out') return
    this.content.set(this.sector, (this.block - 1) * SECTOR_WORDS)
    if (this.sectors === 0) this.mode = 'idle'
  }

  /** A word; what the host should read, or undefined for one that goes nowhere. */
  word(value: number): number | undefined {
    if (this.isBusy || this.mode === 'idle') return undefined
    const at = SECTOR_WORDS - this.words
    if (this.mode === 'out') this.sector[at] = value
    const read = this.content[this.block * SECTOR_WORDS + at]!
    this.words -= 1
    if (this.words > 0) return read
    this.block += 1
    this.sectors -= 1
    this.words = SECTOR_WORDS
    if (this.mode === 'out') this.isBusy = true
    else if (this.sectors === 0) this.mode = 'idle'
    else this.isBusy = true
    return read
  }
}

function step(host: IdeHost, disk: HeldDisk, model: PioModel, each: Action): void {
  switch (each.is) {
    case 'read':
    case 'write':
      host.command(each.is === 'read' ? 0x20 : 0x30, each.block, each.count)
      return model.begin(each.is, each.block, each.count)
    case 'words':
      for (let i = 0; i < each.count; i++) {
        if (model.mode === 'out') {
          const value = (model.written = (model.written * 31 + 7) & 0xffff)
          host.out(0x1f0, value, 2)
          model.word(value)
        } else expect(host.in(0x1f0, 2)).toBe(model.word(0) ?? 0)
      }
      return
    case 'status':
      expect(host.in(0x1f7)).toBe(model.status)
      model.interrupt = false
      return
    case 'alternate':
      expect(host.in(0x3f6)).toBe(model.status)
      return
    case 'disk':
      if (disk.held !== null) disk.release()
      host.settle()
      return model.release()
    case 'reset':
      host.out(0x3f6, 4 | (model.masked ? 2 : 0))
      host.out(0x3f6, model.masked ? 2 : 0)
      model.mode = 'idle'
      model.isBusy = false
      model.interrupt = false
      return
    case 'mask':
      model.masked = each.masked
      return host.out(0x3f6, each.masked ? 2 : 0)
  }
}

test('Status, the line and the data are what the protocol says, in any order of accesses', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60, size: 'max' }), (actions) => {
      const below = patternDisk(BLOCKS)
      const disk = new HeldDisk(below)
      const host = new IdeHost({ disk })
      const model = new PioModel(below.bytes)
      for (const each of actions) {
        step(host, disk, model, each)
        expect(host.line).toBe(model.interrupt && !model.masked)
      }
      // What a reset gave up, and a sector that was never whole, is not there.
      expect(below.bytes).toEqual(new Uint8Array(model.content.buffer))
    }),
  )
})
