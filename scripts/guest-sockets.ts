// Two script guests and the root on a switch that knows their names: one serves a file over HTTP, the other fetches it by the name of the first and compares
// its SHA-256. The root answers pings. In either engine.

import { defineScenario } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const FILE_BYTES = 1024 * 1024
const nameServer = '10.0.0.254'
const root = '10.0.0.253'
const nics = [{ switch: 'lan' }]
const guest = './guests/web-server.ts'

export default defineScenario({
  switches: {
    lan: {
      uplink: { kind: 'services', address: `${nameServer}/24` },
      managementOS: { address: `${root}/24` },
    },
  },
  vms: {
    server: {
      memory: '64 MiB',
      guest,
      args: { address: '10.0.0.1/24', nameServer, bytes: FILE_BYTES },
      nics,
    },
    client: {
      memory: '64 MiB',
      guest,
      args: { address: '10.0.0.2/24', nameServer, bytes: 0 },
      nics,
    },
  },
  async run({ vms, expect, log }) {
    const { server, client } = vms
    await vms.all.started()
    const served = String(await server.call('serve', null))
    expect(await client.call('ping', '10.0.0.1'), 'milliseconds of a ping').toBeLessThan(1_000)
    expect(String(await client.call('resolve', 'server')), 'the address of its name').toBe(
      '10.0.0.1',
    )
    expect(String(await client.call('resolve', 'root')), 'the address of the root').toBe(root)
    expect(await client.call('ping', root), 'milliseconds to the root').toBeLessThan(1_000)
    const nobody = client.call('resolve', 'nobody').catch((error: Error) => error.message)
    expect(String(await nobody), 'a name of nobody').toContain('there is no such host')
    const fetched = String(await client.call('fetch', 'http://server/file'))
    expect(fetched, 'SHA-256 of what was fetched').toBe(served)
    log(`${FILE_BYTES} bytes over HTTP, the same at both ends`)
    await vms.all.stop()
  },
})

if (import.meta.main) sayHowToRun('guest-sockets')
