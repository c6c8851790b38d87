// What two guests' traffic loses while a third storms their switch: with broadcasts, and from ten thousand addresses. One fetches a file of the other
// again and again, before each storm and in it. In virtual time the seed gives the same figures each time.
//
//   guestyard run scripts/network-storms.ts --engine virtual --seed 7

import { defineScenario } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const FILE_BYTES = 256 * 1024
const ROUNDS = 7
const nics = [{ switch: 'lan' }]
const guest = './guests/web-server.ts'

export default defineScenario({
  vms: {
    server: { memory: '64 MiB', guest, args: { address: '10.0.0.1/24', bytes: FILE_BYTES }, nics },
    client: { memory: '64 MiB', guest, args: { address: '10.0.0.2/24', bytes: 0 }, nics },
    storm: {
      memory: '64 MiB',
      guest: './guests/storm.ts',
      nics: [{ switch: 'lan', macSpoofing: true }],
    },
  },
  async run({ vms, host, expect, log, engine }) {
    const { server, client, storm } = vms
    await vms.all.started()
    const sum = String(await server.call('serve', null))
    const fetchMs = async (): Promise<number> => {
      const times: number[] = []
      for (let round = 0; round < ROUNDS; round += 1) {
        const fromMs = performance.now()
        const fetched = String(await client.call('fetch', 'http://10.0.0.1/file'))
        times.push(performance.now() - fromMs)
        if (fetched !== sum) throw new Error('the file came otherwise')
      }
      return times.toSorted((a, b) => a - b)[ROUNDS >> 1]!
    }
    await fetchMs()
    for (const kind of ['broadcasts', 'addresses']) {
      const quietMs = await fetchMs()
      await storm.call('begin', kind)
      const stormMs = await fetchMs()
      const frames = Number(await storm.call('end', null))
      const kept = quietMs / stormMs
      log(
        `${kind}: ${(100 * kept).toFixed(1)} % of the traffic is kept; ${frames} frames of the storm so far`,
      )
      if (engine === 'virtual') expect(kept, `traffic kept under ${kind}`).toBeGreaterThan(0.9)
    }
    const { switches } = await host.inspect()
    for (const { name, learned, sentFrames, sendDrops, receiveDrops } of switches[0]!.ports) {
      log(
        `${name}: ${sentFrames} sent, ${learned} learned, drops ${JSON.stringify([sendDrops, receiveDrops])}`,
      )
    }
    await vms.all.stop()
  },
})

if (import.meta.main) sayHowToRun('network-storms')
