import { Button, Skeleton } from '@patternfly/react-core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { text } from '../i18n/text.ts';
import { ProblemAlert } from './problem-alert.tsx';

/** What a query gave, or that it is loading, or why it failed with a way to try again. */
export function Loaded<T>({
  query,
  what,
  children,
}: {
  query: UseQueryResult<T>;
  what: string;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.isError) {
    const retry = (
      <Button variant="link" isInline onClick={() => void query.refetch()}>
        {text.common.retry}
      </Button>
    );
    return <ProblemAlert error={query.error} title={text.errors.loadFailed(what)} actions={retry} />;
  }
  return (
    <div className="croft-stack" aria-busy="true">
      {['100%', '92%', '96%', '88%'].map((width, index) => (
        <Skeleton key={width} width={width} height="2.2rem" screenreaderText={index === 0 ? text.common.loading : undefined} />
      ))}
    </div>
  );
}
