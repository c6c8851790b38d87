import { startHost } from '@guestyard/management'
const LOAD:any = { direction: 'both', payloadBytes: 256, batch: 16, loop: { kind: 'closed', window: 32 }, warmUp: { kind: 'packets', packets: 0 }, measure: { kind: 'duration', durationMs: 150 }, channels: 1, sendRingBytes: 65536, receiveRingBytes: 65536, waiting: 'event-loop', spinMicroseconds: 20 }
const t0=Date.now(); let seed=Number(process.argv[2]??1)
while (Date.now()-t0<150_000) {
  const host = await startHost({log:{level:'silent'}})
  const n = host.createVm({name:'n',memoryBytes:8<<20}); await n.start()
  const h = host.createVm({name:'h',memoryBytes:8<<20,program:new URL('../test/hostile/guests/scribbles.ts',import.meta.url)}); await h.start()
  let who=''
  const dump=async(label:string,e:unknown)=>{ console.log('FAIL',label,seed,String(e)); for (let k=0;k<2;k++){ const i=await host.inspect(); console.log(JSON.stringify(i.partitions,null,1)); console.log(JSON.stringify(i.hypervisor)); console.log(JSON.stringify(i.engine)); for (const v of [n,h]) { const r = await Promise.race([v.inspectGuest(), new Promise(r=>setTimeout(()=>r('no answer'),2000))]); console.log(v.name,JSON.stringify(r)) } } process.exit(1)}
  const s = h.call('rings',{rounds:40,writes:20000,seed}).catch(e=>dump('rings',e))
  let over=false; void s.then(()=>{over=true})
  while(!over) await n.runLoad(LOAD).catch(e=>dump('neighbour',e))
  await h.runLoad({...LOAD, measure:{kind:'packets',packets:1000}}).catch(e=>dump('hostile honest',e))
  await host.close(); seed++
  process.stdout.write('.')
}
