import { Button, PageSection } from '@patternfly/react-core';
import { Link, useRouteError } from 'react-router';
import { text } from '../i18n/text.ts';
import { Empty } from './empty.tsx';
import { PageFrame } from './page-frame.tsx';
import { ProblemAlert } from './problem-alert.tsx';

/** A page that failed to load or to draw; the rest of the console goes on. */
export function RouteError() {
  const error = useRouteError();
  return (
    <PageSection>
      <ProblemAlert
        error={error}
        title={text.errors.crashed}
        actions={
          <Button variant="link" isInline onClick={() => location.reload()}>
            {text.errors.reload}
          </Button>
        }
      />
    </PageSection>
  );
}

export function NotFound() {
  return (
    <PageFrame title={text.errors.notFound}>
      <Empty title={text.errors.notFound} actions={<Link to="/">{text.errors.backToOverview}</Link>}>
        {text.errors.notFoundDetail}
      </Empty>
    </PageFrame>
  );
}
