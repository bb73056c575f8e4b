import { useSyncExternalStore } from 'react';
import { liveState, type LiveState } from '../api/live.ts';

export const useLiveState = (): LiveState => useSyncExternalStore(liveState.subscribe, liveState.get);
