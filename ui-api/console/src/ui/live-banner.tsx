import { Banner } from '@patternfly/react-core';
import { useLiveState } from '../hooks/use-live-state.ts';
import { useNow } from '../hooks/use-now.ts';
import { text } from '../i18n/text.ts';

/** Says how old the data is while the live connection is interrupted. */
export function LiveBanner() {
  const { connected, heardAt } = useLiveState();
  const now = useNow(1000);
  return (
    <div role="status">
      {!connected && (
        <Banner color="orange" className="croft-live-banner">
          {text.live.lost(text.live.seconds(Math.max(0, Math.round((now - heardAt) / 1000))))}
        </Banner>
      )}
    </div>
  );
}
