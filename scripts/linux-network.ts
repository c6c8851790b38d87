// Two stock Linux guests on one switch, their own hv_netvsc and their own TCP: ping, a file over HTTP, a cable that is pulled and put back.
// Two boots, and five minutes that the driver needs: minutes, not seconds.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-network.ts

import { defineScenario } from '@guestyard/scenario'

/** Blocks of 64 KiB. */
const FILE_BLOCKS = 128
const QUIET_SECONDS = 303
const CARRIER = '/sys/class/net/eth0/carrier'

export default defineScenario({
  vms: {
    server: { memory: '96 MiB', linux: {}, nics: [{ switch: 'lan' }] },
    client: { memory: '96 MiB', linux: {}, nics: [{ switch: 'lan' }] },
  },
  async run({ vms, host, expect, log }) {
    const { server, client } = vms
    const sh = async (vm: typeof server, script: string): Promise<string> => {
      const { exitCode, output } = await vm.exec(script)
      const text = output.trim()
      if (exitCode !== 0) throw new Error(`${script}: exit code ${exitCode}: ${text}`)
      return text
    }
    const up = (vm: typeof server, address: string): Promise<string> =>
      sh(vm, `ip link set eth0 up && ip addr add ${address}/24 dev eth0`)
    await vms.all.started()
    await up(server, '10.0.0.1')
    await up(client, '10.0.0.2')

    const { partitions } = await host.inspect()
    const addresses = partitions.map(({ nics }) => nics[0]?.address)
    expect(addresses, 'addresses of the adapters').toContain(
      await sh(server, 'cat /sys/class/net/eth0/address'),
    )
    const ping = await sh(client, 'ping -c 3 -w 30 -s 1400 10.0.0.1')
    expect(ping, 'what ping says').toContain(' 3 packets received')
    log('ping: 3 of 3')

    const sum = await sh(
      server,
      `mkdir /tmp/www && dd if=/dev/urandom of=/tmp/www/file bs=64k count=${FILE_BLOCKS} 2>/dev/null; httpd -p 80 -h /tmp/www; sha256sum </tmp/www/file`,
    )
    const fetch = 'wget -q -O /tmp/file http://10.0.0.1/file && sha256sum </tmp/file'
    expect(await sh(client, fetch), 'SHA-256 of the file over HTTP').toBe(sum)
    log(`wget: ${(FILE_BLOCKS * 64) / 1024} MiB, the same at both ends`)

    // The driver of a 32-bit kernel puts news of the link off until its tick counter has wrapped, five minutes after the boot: it takes
    // the time of the last news, which is 0, for one to come (netvsc_link_change, Linux' netvsc_drv.c).
    await sh(client, `while [ $(cut -d. -f1 /proc/uptime) -lt ${QUIET_SECONDS} ]; do sleep 2; done`)
    await client.setNicLink(0, false)
    await sh(client, `while [ $(cat ${CARRIER}) = 1 ]; do sleep 0.2; done`)
    await client.setNicLink(0, true)
    await sh(client, `while [ $(cat ${CARRIER}) = 0 ]; do sleep 0.2; done`)
    await sh(client, 'ping -c 1 -w 30 10.0.0.1')
    log('the cable was pulled and put back')

    const { switches } = await host.inspect()
    for (const { name, sentFrames, sendDrops, receiveDrops } of switches[0]?.ports ?? []) {
      log(`${name}: ${sentFrames} frames sent, drops ${JSON.stringify([sendDrops, receiveDrops])}`)
    }
  },
})
