// Script guests that speak TCP, UDP and HTTP over their adapters and a switch.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startHost, type Host, type Vm } from '@guestyard/management'

const PROGRAM = new URL('guests/sockets.ts', import.meta.url)
const PAGE_BYTES = 300_000

let host: Host
let server: Vm
let client: Vm
beforeAll(async () => {
  host = await startHost({ log: { level: 'silent' } })
  server = guest('server', '10.0.0.1/24')
  client = guest('client', '10.0.0.2/24')
  await Promise.all([server.start(), client.start()])
  await server.call('serve', PAGE_BYTES)
})
afterAll(async () => {
  await host.close()
})

function guest(name: string, address: string): Vm {
  const nics = [{ switch: 'lan' }]
  return host.createVm({
    name,
    memoryBytes: 8 * 2 ** 20,
    program: PROGRAM,
    args: { address },
    nics,
  })
}

test('a ping comes back, and one to nobody doesn’t', async () => {
  expect(await client.call('ping', '10.0.0.1')).toEqual(expect.any(Number))
  expect(await client.call('ping', '10.0.0.9')).toBe(null)
})

test('bytes over TCP come back as they were', async () => {
  expect(await client.call('echoed', { to: '10.0.0.1', bytes: 2_000_000 })).toEqual([
    2_000_000,
    true,
  ])
  expect(await client.call('drops', null)).toEqual({})
})

test('several connections at once don’t mix', async () => {
  const lengths = [0, 1, 1_460, 70_000, 300_001]
  const all = lengths.map((bytes) => client.call('echoed', { to: '10.0.0.1', bytes }))
  expect(await Promise.all(all)).toEqual(lengths.map((bytes) => [bytes, true]))
})

test('node:http serves and fetches over guests’ sockets', async () => {
  expect(await client.call('fetched', '10.0.0.1')).toEqual([PAGE_BYTES, true])
})

test('datagrams go to a port and back', async () => {
  expect(await client.call('datagram', '10.0.0.1')).toEqual([100, '10.0.0.1', 9])
})

test('a port that nobody listens on refuses, and says so', async () => {
  expect(await client.call('refused', '10.0.0.1')).toBe('10.0.0.1:81: the connection was refused')
})

test('ports and addresses that are none are refused on one line', async () => {
  expect(await client.call('wrong', null)).toEqual([
    'a port is from 1 to 65535; got 0',
    'a port is from 1 to 65535; got 7.5',
    'a port is from 1 to 65535; got 70000',
    'address must be such as 10.0.0.1; got "localhost"',
  ])
})
