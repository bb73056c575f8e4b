import CameraIcon from '@patternfly/react-icons/dist/esm/icons/camera-icon';
import { text } from '../../i18n/text.ts';
import { Empty } from '../../ui/empty.tsx';

/** The place of snapshots; this version's API has none. */
export function SnapshotsTab() {
  return (
    <Empty title={text.snapshots.later} icon={CameraIcon}>
      {text.snapshots.laterDetail}
    </Empty>
  );
}
