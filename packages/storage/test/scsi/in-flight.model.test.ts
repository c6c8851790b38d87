// Commands under way, against a model: whatever is aborted, reset, detached, ejected or resized meanwhile, each command ends once, each
// target counts its own, and a unit that is left alone gets idle.

import type { DiskStatus } from '@guestyard/storage'
import { DiskUnit, ScsiOutcome, type ScsiRequest, ScsiTarget } from '@guestyard/storage/scsi'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { HeldDisk } from './held-disk.ts'
import { Initiator, be, read10, write10 } from './initiator.ts'

interface Sent {
  readonly request: ScsiRequest
  readonly host: number
  readonly lun: number
  /** It was given up by somebody: ABORTED is an answer. */
  givenUp: boolean
  /** What it ended with. */
  ended: string
}

/** Two targets with a shared disk as LUN 0, and a disk of its own each as LUN 1. */
class Scene {
  readonly disks = [new HeldDisk(1 << 16), new HeldDisk(1 << 16), new HeldDisk(1 << 16)]
  readonly units = this.disks.map((disk) => new DiskUnit(disk))
  readonly targets = [new ScsiTarget({ initiator: 1 }), new ScsiTarget({ initiator: 2 })]
  readonly sent: Sent[] = []
  /** Of each target: commands that were PENDING when `execute` returned, and those that polls counted. */
  readonly begun = [0, 0]
  readonly counted = [0, 0]

  constructor() {
    for (const disk of this.disks) disk.holds = true
    for (const host of [0, 1]) {
      this.attach(host, 0)
      this.attach(host, 1)
    }
  }

  unit(host: number, lun: number): DiskUnit {
    return this.units[lun === 0 ? 0 : 1 + host]!
  }

  attach(host: number, lun: number): void {
    const target = this.targets[host]!
    if (target.unitAt(0, 0, lun) === null) target.attach(0, 0, lun, this.unit(host, lun))
  }

  send(host: number, lun: number, cdb: number[], direction: 0 | 1 | 2, data: Uint8Array): void {
    const target = this.targets[host]!
    const request = new Initiator(target, lun).request(cdb, direction, data)
    target.execute(request)
    if (request.outcome === ScsiOutcome.PENDING) {
      this.begun[host]! += 1
      this.sent.push({ request, host, lun, givenUp: false, ended: '' })
    }
  }

  pending(): Sent[] {
    return this.sent.filter(({ ended }) => ended === '')
  }

  poll(host: number, budget: number): void {
    this.counted[host]! += this.targets[host]!.poll(budget)
  }

  giveUp(of: (sent: Sent) => boolean): void {
    for (const sent of this.pending()) if (of(sent)) sent.givenUp = true
  }

  /** Every command is under way or has ended as it did, and everybody counts alike. */
  check(): void {
    const pending = [0, 0, 0]
    for (const sent of this.sent) {
      const { outcome, scsiStatus } = sent.request
      if (outcome === ScsiOutcome.PENDING) {
        assert.equal(sent.ended, '')
        pending[sent.lun === 0 ? 0 : 1 + sent.host]! += 1
        continue
      }
      if (outcome === ScsiOutcome.ABORTED) assert.ok(sent.givenUp)
      const ended = `${outcome} ${scsiStatus}`
      if (sent.ended !== '') assert.equal(ended, sent.ended)
      sent.ended = ended
    }
    assert.deepEqual(
      this.units.map((unit) => unit.inFlight),
      pending,
    )
    for (const host of [0, 1]) {
      const ended = this.sent.filter((sent) => sent.host === host && sent.ended !== '').length
      assert.ok(this.counted[host]! <= ended)
    }
  }

  finish(): void {
    for (let turns = 0; turns < 2000 && this.pending().length > 0; turns++) {
      for (const disk of this.disks) disk.release()
      for (const host of [0, 1]) this.poll(host, 4)
      this.check()
    }
    for (const host of [0, 1]) this.poll(host, 64)
    assert.deepEqual(this.pending(), [])
    assert.deepEqual(this.counted, this.begun)
    assert.deepEqual(
      this.targets.map((target) => target.inspect().leaving),
      [0, 0],
    )
    assert.deepEqual(
      this.targets.map((target) => target.nextDeadlineMs()),
      [Infinity, Infinity],
    )
  }
}

const host = fc.integer({ min: 0, max: 1 })
const lun = fc.integer({ min: 0, max: 1 })
const nth = fc.nat({ max: 40 })
const unmapList = [
  0,
  38,
  0,
  32,
  0,
  0,
  0,
  0,
  ...be(1, 8),
  ...be(2, 4),
  ...be(0, 4),
  ...be(9, 8),
  ...be(3, 4),
  ...be(0, 4),
]
const cdbs: [number[], 0 | 1 | 2, Uint8Array][] = [
  [read10(3, 2), 2, new Uint8Array(1024)],
  [write10(5, 1), 1, new Uint8Array(512)],
  [[0x35, ...be(0, 9)], 0, new Uint8Array(0)],
  [[0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0], 1, Uint8Array.from(unmapList)],
  [[0x41, 0, 0, 0, 0, 0, 0, 0, 100, 0], 1, new Uint8Array(512).fill(7)],
  [[0x1b, 0, 0, 0, 0, 0], 0, new Uint8Array(0)],
]

type Step = fc.Command<object, Scene>

function step(name: string, run: (scene: Scene) => void): Step {
  return {
    check: () => true,
    run: (_, scene) => {
      run(scene)
      scene.check()
    },
    toString: () => name,
  }
}

const steps: fc.Arbitrary<Step>[] = [
  fc
    .tuple(host, lun, fc.nat({ max: cdbs.length - 1 }))
    .map(([host, lun, which]) =>
      step(`send ${which} to ${host}:${lun}`, (scene) => scene.send(host, lun, ...cdbs[which]!)),
    ),
  fc
    .tuple(nth, nth, fc.constantFrom<DiskStatus>(0, 0, 0, 4, 5, 6))
    .map(([disk, index, status]) =>
      step(`release ${index} of ${disk % 3} with ${status}`, ({ disks }) =>
        disks[disk % 3]!.release(index, status),
      ),
    ),
  fc
    .tuple(host, fc.integer({ min: 1, max: 8 }))
    .map(([host, budget]) => step(`poll ${host}`, (scene) => scene.poll(host, budget))),
  nth.map((index) =>
    step(`abort ${index}`, (scene) => {
      const sent = scene.sent[index]
      if (sent === undefined) return
      if (sent.ended === '') sent.givenUp = true
      scene.targets[sent.host]!.abort(sent.request)
    }),
  ),
  fc.tuple(host, lun).map(([host, lun]) =>
    step(`reset ${host}:${lun}`, (scene) => {
      const target = scene.targets[host]!
      if (target.unitAt(0, 0, lun) === null) return
      scene.giveUp((sent) => sent.lun === lun && (lun === 0 || sent.host === host))
      target.resetUnit(0, 0, lun)
    }),
  ),
  host.map((host) =>
    step(`reset all of ${host}`, (scene) => {
      for (const lun of [0, 1]) {
        if (scene.targets[host]!.unitAt(0, 0, lun) === null) continue
        scene.giveUp((sent) => sent.lun === lun && (lun === 0 || sent.host === host))
      }
      scene.targets[host]!.resetAll()
    }),
  ),
  fc.tuple(host, lun).map(([host, lun]) =>
    step(`detach ${host}:${lun}`, (scene) => {
      scene.giveUp((sent) => sent.lun === lun && sent.host === host)
      scene.targets[host]!.detach(0, 0, lun)
    }),
  ),
  fc
    .tuple(host, lun)
    .map(([host, lun]) => step(`attach ${host}:${lun}`, (scene) => scene.attach(host, lun))),
  fc.tuple(nth, fc.boolean()).map(([disk, atOnce]) =>
    step(`aborts of ${disk % 3} ${atOnce ? 'at once' : 'later'}`, ({ disks }) => {
      disks[disk % 3]!.abortsAtOnce = atOnce
    }),
  ),
  nth.map((disk) =>
    step(`resize ${disk % 3}`, ({ disks }) => {
      const one = disks[disk % 3]!
      one.geometry = { ...one.geometry, blockCount: 100 + disk }
    }),
  ),
]

test('every command ends once, whatever happens meanwhile', () => {
  fc.assert(
    fc.property(fc.commands(steps, { maxCommands: 60 }), (commands) => {
      const scene = new Scene()
      fc.modelRun(() => ({ model: {}, real: scene }), commands)
      scene.finish()
    }),
  )
})
