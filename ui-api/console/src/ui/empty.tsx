import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from '@patternfly/react-core';
import type { ComponentType, ReactNode } from 'react';

type Props = { title: string; icon?: ComponentType; children?: ReactNode; actions?: ReactNode; level?: 'h2' | 'h3' };

/** Nothing is here, why, and what to do about it. */
export function Empty({ title, icon, children, actions, level = 'h2' }: Props) {
  return (
    <EmptyState titleText={title} headingLevel={level} variant="sm" {...(icon ? { icon } : {})}>
      {children && <EmptyStateBody>{children}</EmptyStateBody>}
      {actions && (
        <EmptyStateFooter>
          <EmptyStateActions>{actions}</EmptyStateActions>
        </EmptyStateFooter>
      )}
    </EmptyState>
  );
}
