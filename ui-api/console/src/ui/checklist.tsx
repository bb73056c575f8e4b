import { Card, CardBody, CardTitle } from '@patternfly/react-core';
import CheckCircleIcon from '@patternfly/react-icons/dist/esm/icons/check-circle-icon';
import CircleIcon from '@patternfly/react-icons/dist/esm/icons/outlined-circle-icon';
import { Link } from 'react-router';
import type { Image, Network } from '../../../client/types.ts';
import { text } from '../i18n/text.ts';

/** The way to the first machine; each step knows by itself that it is done. */
export function Checklist({ images, networks }: { images: readonly Image[]; networks: readonly Network[] }) {
  const steps = [
    {
      title: text.overview.stepImage,
      detail: text.overview.stepImageDetail,
      to: '/images',
      isDone: images.some(({ state }) => state === 'ready'),
    },
    { title: text.overview.stepVm, detail: text.overview.stepVmDetail, to: '/vms/new', isDone: false },
    {
      title: text.overview.stepNetwork,
      detail: text.overview.stepNetworkDetail,
      to: '/networks',
      isDone: networks.some(({ vlan }) => vlan !== undefined),
    },
    { title: text.overview.stepUser, detail: text.overview.stepUserDetail, to: '/settings/users', isDone: false },
  ];
  return (
    <Card isCompact className="croft-card">
      <CardTitle component="h2">{text.overview.checklist}</CardTitle>
      <CardBody>
        <ol className="croft-checklist">
          {steps.map(({ title, detail, to, isDone }) => (
            <li key={to} className={isDone ? 'croft-done' : ''}>
              {isDone ? <CheckCircleIcon /> : <CircleIcon />}
              <div>
                <Link to={to}>{title}</Link>
                {isDone && <span className="croft-quiet"> ({text.overview.done})</span>}
                <div className="croft-quiet croft-small">{detail}</div>
              </div>
            </li>
          ))}
        </ol>
      </CardBody>
    </Card>
  );
}
