export { type EndingWorker, type PeerWatcher, failWhenWorkerEnds } from './worker-end.ts'
