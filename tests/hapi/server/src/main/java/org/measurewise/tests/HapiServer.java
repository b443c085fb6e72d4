package org.measurewise.tests;

import ca.uhn.fhir.batch2.api.IJobMaintenanceService;
import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.batch2.jobs.export.BulkDataExportProvider;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.binary.api.IBinaryStorageSvc;
import ca.uhn.fhir.jpa.binstore.MemoryBinaryStorageSvcImpl;
import ca.uhn.fhir.jpa.config.HapiJpaConfig;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.model.entity.StorageSettings;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.JpaSystemProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.jpa.subscription.match.config.SubscriptionProcessorConfig;
import ca.uhn.fhir.jpa.subscription.match.deliver.email.IEmailSender;
import ca.uhn.fhir.jpa.subscription.submit.config.SubscriptionSubmitterConfig;
import ca.uhn.fhir.jpa.topic.BaseSubscriptionTopicLoader;
import ca.uhn.fhir.jpa.topic.SubscriptionTopicConfig;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import com.zaxxer.hikari.HikariDataSource;
import jakarta.persistence.EntityManagerFactory;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpServletResponseWrapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.sql.SQLException;
import java.util.EnumSet;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import javax.sql.DataSource;
import org.eclipse.jetty.ee10.servlet.FilterHolder;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.hl7.fhir.dstu2.model.Subscription.SubscriptionChannelType;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Primary;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;

/**
 * A HAPI FHIR JPA server, R4, over H2 in memory: searches, $everything, Bulk Data exports, histories, transactions
 * and, with -Dsubscriptions=true, REST-hook subscriptions by criteria and by topic. Listens on a free port of the
 * loopback interface at /fhir; the port is written to the file that the only argument names, once the server is up.
 */
public final class HapiServer {

  public static void main(String[] arguments) throws Exception {
    endWithTheTests();
    var beans =
        Boolean.getBoolean("subscriptions")
            ? new AnnotationConfigApplicationContext(Beans.class, SubscriptionTopicConfig.class)
            : new AnnotationConfigApplicationContext(Beans.class);
    var server = new Server();
    var connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    server.addConnector(connector);
    var handler = new ServletContextHandler("/");
    handler.addServlet(new ServletHolder(fhirServlet(beans)), "/fhir/*");
    handler.addFilter(
        new FilterHolder((request, response, chain) -> chain.doFilter(request, new Sooner(response))),
        "/fhir/*",
        EnumSet.of(DispatcherType.REQUEST));
    handler.addServlet(new ServletHolder(new Analyze(beans.getBean(DataSource.class))), "/analyze");
    server.setHandler(handler);
    server.start();
    // the steps of an export wait for this, which HAPI does once a minute
    var everySecond = Executors.newSingleThreadScheduledExecutor();
    everySecond.scheduleWithFixedDelay(
        beans.getBean(IJobMaintenanceService.class)::runMaintenancePass, 1, 1, TimeUnit.SECONDS);
    // a new topic waits for this as long
    for (var topics : beans.getBeansOfType(BaseSubscriptionTopicLoader.class).values()) {
      everySecond.scheduleWithFixedDelay(topics::forceRefresh, 1, 1, TimeUnit.SECONDS);
    }
    // renamed into place, so that a reader never sees a file without its number
    var unfinished = Path.of(arguments[0] + ".part");
    Files.writeString(unfinished, Integer.toString(connector.getLocalPort()));
    Files.move(unfinished, Path.of(arguments[0]), StandardCopyOption.ATOMIC_MOVE);
    server.join();
  }

  /** Standard input ends when the process that started this one does, however that came about. */
  private static void endWithTheTests() {
    var watch =
        new Thread(
            () -> {
              try {
                while (System.in.read() != -1) {}
              } catch (IOException error) {
                // as good as its end
              }
              Runtime.getRuntime().halt(0);
            });
    watch.setDaemon(true);
    watch.start();
  }

  private static RestfulServer fhirServlet(AnnotationConfigApplicationContext beans) {
    var servlet = new RestfulServer(beans.getBean(FhirContext.class));
    servlet.registerProviders(beans.getBean(ResourceProviderFactory.class).createProviders());
    servlet.registerProvider(beans.getBean(JpaSystemProvider.class));
    servlet.registerProvider(beans.getBean(BulkDataExportProvider.class));
    // the page sizes of the starter project, and so of most HAPI servers there are
    var paging = beans.getBean(DatabaseBackedPagingProvider.class);
    paging.setDefaultPageSize(20);
    paging.setMaximumPageSize(200);
    servlet.setPagingProvider(paging);
    servlet.setDefaultResponseEncoding(EncodingEnum.JSON);
    var capabilities =
        new JpaCapabilityStatementProvider(
            servlet,
            beans.getBean(IFhirSystemDao.class),
            beans.getBean(JpaStorageSettings.class),
            beans.getBean(ISearchParamRegistry.class),
            beans.getBean(IValidationSupport.class));
    capabilities.setImplementationDescription("HAPI FHIR of the tests");
    servlet.setServerConformanceProvider(capabilities);
    return servlet;
  }

  /** HAPI asks for two minutes between polls of any export; those of the tests are small. */
  private static final class Sooner extends HttpServletResponseWrapper {
    Sooner(ServletResponse response) {
      super((HttpServletResponse) response);
    }

    @Override
    public void addHeader(String name, String value) {
      super.addHeader(name, name.equalsIgnoreCase("Retry-After") ? "1" : value);
    }

    @Override
    public void setHeader(String name, String value) {
      super.setHeader(name, name.equalsIgnoreCase("Retry-After") ? "1" : value);
    }
  }

  /** POST: the database takes stock of what it holds, as it does by itself in the course of days. */
  private static final class Analyze extends HttpServlet {
    private final transient DataSource source;

    Analyze(DataSource source) {
      this.source = source;
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
      try (var connection = source.getConnection();
          var statement = connection.createStatement()) {
        statement.execute("ANALYZE SAMPLE_SIZE 0");
      } catch (SQLException error) {
        throw new IOException(error);
      }
    }
  }

  @Configuration
  @Import({
    JpaR4Config.class,
    HapiJpaConfig.class,
    JpaBatch2Config.class,
    Batch2JobsConfig.class,
    ThreadPoolFactoryConfig.class,
    SubscriptionChannelConfig.class,
    SubscriptionProcessorConfig.class,
    SubscriptionSubmitterConfig.class
  })
  static class Beans {

    @Bean
    JpaStorageSettings storageSettings() {
      var settings = new JpaStorageSettings();
      // official cases refer to practitioners and organizations that nothing in them holds
      settings.setEnforceReferentialIntegrityOnWrite(false);
      settings.setEnforceReferentialIntegrityOnDelete(false);
      // a search sees what is there now, as tests of changes need
      settings.setReuseCachedSearchResultsForMillis(null);
      settings.setEnableBulkExportJobReuse(false);
      settings.setJobFastTrackingEnabled(true);
      settings.setIndexMissingFields(StorageSettings.IndexEnabledEnum.DISABLED);
      settings.setHibernateSearchIndexSearchParams(false);
      return settings;
    }

    @Bean
    PartitionSettings partitionSettings() {
      return new PartitionSettings();
    }

    @Bean
    SubscriptionSettings subscriptionSettings() {
      var settings = new SubscriptionSettings();
      // each write costs twice where there may be subscriptions, so only the server that needs them has them
      if (Boolean.getBoolean("subscriptions")) {
        settings.addSupportedSubscriptionType(SubscriptionChannelType.RESTHOOK);
      }
      return settings;
    }

    @Bean
    IBinaryStorageSvc binaryStorage() {
      return new MemoryBinaryStorageSvcImpl();
    }

    @Bean
    IEmailSender emailSender() {
      return message -> {
        throw new UnsupportedOperationException("this server sends no mail");
      };
    }

    @Bean(destroyMethod = "close")
    HikariDataSource dataSource() {
      var source = new HikariDataSource();
      source.setJdbcUrl("jdbc:h2:mem:fhir;DB_CLOSE_DELAY=-1");
      source.setMaximumPoolSize(24);
      return source;
    }

    @Bean
    @Primary
    LocalContainerEntityManagerFactoryBean entityManagerFactory(
        DataSource source, ConfigurableListableBeanFactory factory, FhirContext context, JpaStorageSettings settings) {
      var bean = HapiEntityManagerFactoryUtil.newEntityManagerFactory(factory, context, settings);
      bean.setPersistenceUnitName("HAPI_PU");
      bean.setDataSource(source);
      var properties = new Properties();
      properties.putAll(
          Map.of(
              "hibernate.dialect", HapiFhirH2Dialect.class.getName(),
              "hibernate.hbm2ddl.auto", "create",
              "hibernate.jdbc.batch_size", "50",
              "hibernate.search.enabled", "false"));
      bean.setJpaProperties(properties);
      return bean;
    }

    @Bean
    @Primary
    JpaTransactionManager transactionManager(EntityManagerFactory factory) {
      return new JpaTransactionManager(factory);
    }
  }

  private HapiServer() {}
}
