import { Breadcrumb, BreadcrumbItem, PageSection, Title } from '@patternfly/react-core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { text } from '../i18n/text.ts';
import { useTitle } from '../hooks/use-title.ts';

type Props = {
  title: string;
  /** Beside the title: a state. */
  badge?: ReactNode;
  /** Below the title. */
  subtitle?: ReactNode;
  actions?: ReactNode;
  parent?: { to: string; title: string };
  children: ReactNode;
};

/** Head and body of a page. The heading takes focus after navigation, so that screen readers hear the new page. */
export function PageFrame({ title, badge, subtitle, actions, parent, children }: Props) {
  useTitle(title);
  return (
    <>
      <PageSection className="croft-page-head" hasBodyWrapper={false}>
        {parent && (
          <Breadcrumb aria-label={text.common.breadcrumb}>
            <BreadcrumbItem
              render={({ className }) => (
                <Link className={className} to={parent.to}>
                  {parent.title}
                </Link>
              )}
            />
            <BreadcrumbItem isActive>{title}</BreadcrumbItem>
          </Breadcrumb>
        )}
        <div className="croft-title-row">
          <div className="croft-title">
            <Title headingLevel="h1" size="2xl" tabIndex={-1}>
              {title}
            </Title>
            {badge}
          </div>
          {actions && <div className="croft-title-actions">{actions}</div>}
        </div>
        {subtitle && <div className="croft-subtitle">{subtitle}</div>}
      </PageSection>
      <PageSection isFilled hasBodyWrapper={false}>
        {children}
      </PageSection>
    </>
  );
}
